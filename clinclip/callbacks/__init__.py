"""clinclip.callbacks"""
