"""aarch64 OCI images, composed from packages and wheels without running any of them.

base         Debian's Python, or somebody's image    changes with the suite or its digest
system       Debian packages on top, the user        changes with packages
wheels       numpy, onnxruntime, …, the project's    changes with requirements
application  the project's own files                 changes with them
runtime      yardarm_runtime, yardarm_wire           changes with Yardarm
"""

from yardarm.image.archive import save
from yardarm.image.compose import Layers, assemble, compose, layers
from yardarm.image.layer import Layer
from yardarm.image.spec import Spec

__all__ = ["Layer", "Layers", "Spec", "assemble", "compose", "layers", "save"]
