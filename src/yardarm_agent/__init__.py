"""What runs on the device's own system: standard library only, Python 3.8, one zipapp.

The session speaks with the host, the supervisor keeps the release running, telemetry
samples the device. They meet in the folder that `layout` describes.
"""
