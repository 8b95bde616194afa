"""HAProxy judges by itself: keys and operations as maps that it reads, and the one who keeps them true."""
