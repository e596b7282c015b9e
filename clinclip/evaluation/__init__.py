"""clinclip.evaluation"""
