"""clinclip.models"""
