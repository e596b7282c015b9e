"""clinclip.data"""
