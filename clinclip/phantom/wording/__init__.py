"""The words of the phantom: tables of templates, one subject a file. See ``clinclip.phantom.grammar``."""
