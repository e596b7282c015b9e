"""clinclip.commands"""
