"""clinclip.export"""
