"""clinclip.images"""
