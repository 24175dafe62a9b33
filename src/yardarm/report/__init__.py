"""Reports: one self-contained HTML file and a short Markdown one from a result.

    rendered = report.render(result)
    report.write(result, folder)

Nothing here measures or decides: figures, intervals and the verdict come with the result.
"""

from yardarm.report.files import Written, write
from yardarm.report.render import Rendered, render, render_compile
from yardarm.report.terminal import summary

__all__ = ["Rendered", "Written", "render", "render_compile", "summary", "write"]
