"""Management over HTTP: Runloop's two operations exactly, and Keyscope's own in the same habits."""
