"""clinclip.losses"""
