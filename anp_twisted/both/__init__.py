"""Gateway and receiver in one process, and the application that is served when none is named."""
