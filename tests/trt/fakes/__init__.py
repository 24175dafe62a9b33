"""Fakes of what only a Jetson has: TensorRT, CUDA's runtime library and pycuda.

They are **fakes**. Nothing here says that an engine runs on a device; what is shown with them is
that our own code calls TensorRT and CUDA by names that exist, in the order that they ask for,
frees what it takes, and reports what they report.

In one process, with the module injected:

    from trt import fakes

    trt = fakes.tensorrt("10.3")            # "8.4", "8.5", "8.6", "10.3", "10.13", "10.16", "11.4"
    fakes.calls(trt)                        # ["Builder.__init__", "Builder.create_network", …]

    fakes.header(plan)                      # what a plan was built with: flags, profiles, pool …

In processes of their own, where `import tensorrt`, `import pycuda.driver` and libcudart are found:

    site = fakes.site(tmp_path, "10.3")     # pycuda=True adds that
    subprocess.run([...], env={**os.environ, **site.environment})
    site.calls()                            # as above, of all processes
    site.left()                             # {"device": 0, "host": 0, "streams": 0, "events": 0,
                                            #  "pageable": 0}: what the last process left behind

What cudart.py loads in this process: `fakes.library(tmp_path)` compiles the fake libcudart and
returns its `Library`: `path`, `left()`. `fakes.pycuda_driver(library)` is a fake pycuda.driver
on it.

Every class, method, argument name, property and enum comes from the API surface of the real
bindings: what isn't there raises AttributeError or TypeError as they do, and what is there but
is not imitated raises NotImplementedError. Engines are computed by onnxruntime when the stream
is synchronised, on memory that must have been allocated on the fake device.

Environment, read when it matters:

    FAKE_SM                   compute capability of the fake device, "87"
    FAKE_MEMORY_MB            its memory, "7620"
    FAKE_TENSORRT_FAULT       one of tensorrt.FAULTS
    FAKE_TENSORRT_CALLS       a file for the names of calls, one a line
    FAKE_CUDART_FAIL          "cudaMalloc:3,cudaMemcpyAsync:1:719": the third call fails with
                              cudaErrorMemoryAllocation, the first one with error 719
    FAKE_CUDART_REPORT        a file for what is left when the process ends
"""

from __future__ import annotations

from trt.fakes.cudart import Library, library
from trt.fakes.installed import Site, site
from trt.fakes.module import calls, tensorrt
from trt.fakes.plan import header
from trt.fakes.pycuda import pycuda_driver

__all__ = ["Library", "Site", "calls", "header", "library", "pycuda_driver", "site", "tensorrt"]
