# Shared by compiled modules through their .pxd; nothing for Python.
