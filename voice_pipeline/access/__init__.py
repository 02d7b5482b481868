"""Who may do what: keys and tokens, roles and permissions, and the log of what was looked at.

Decides from a credential who asks, and from one table what that role may do. Knows nothing of
HTTP: `voice_pipeline.api.guard` is its edge there. Refuses by default.
"""
