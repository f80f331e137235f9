"""Has schemathesis try the addresses of a server as its OpenAPI document describes them.

    openapi.py ADDRESS SLIDE...

The document names one slide to try it with and leaves open which others there are: here they are the given ones, and one that is
not there. Of DICOM's identifiers it is those of the named slide, and one of nothing.
"""

import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

address, slides = sys.argv[1], sys.argv[2:]
document = json.load(urllib.request.urlopen(f"{address}/openapi.json"))
parameters = document["components"]["parameters"]
values = {"slide": [*slides, "absent"]}
values |= {name: [parameters[name]["example"], "1.2.3"] for name in ("study", "series", "instance")}
for name, enum in values.items():
    parameters[name]["schema"] = {"type": "string", "enum": enum}

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "openapi.json"
    path.write_text(json.dumps(document))
    # What a description cannot say: a region beside the slide is refused, and so is a picture that is too large.
    (Path(folder) / "schemathesis.toml").write_text(
        # Rotation by any angle: IIIF wants 501 of who has it not.
        "[checks.not_a_server_error]\nexpected-statuses = ['2xx', '3xx', '4xx', 501]\n"
        "[checks.positive_data_acceptance]\nexpected-statuses = ['2xx', 400, 404, 501]\n"
        # An address whose parameters are wrong may be another address, or none: 404. The number 0.5 in the place of an identifier of
        # DICOM is one, by which a search finds nothing: 204.
        "[checks.negative_data_rejection]\nexpected-statuses = [204, 400, 404, 405, 501]\n"
    )
    command = [Path(sys.executable).parent / "schemathesis", "run", path, "--url", address]
    options = ["--max-examples=25", "--seed=1", "--no-color", "--suppress-health-check=all"]
    sys.exit(subprocess.run([*command, *options], cwd=folder).returncode)
