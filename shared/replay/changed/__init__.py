"""Recorded turns asked again with a change: another model, prompt, tool description or setting."""
