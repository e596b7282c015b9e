"""clinclip.graph"""
