"""clinclip.text"""
