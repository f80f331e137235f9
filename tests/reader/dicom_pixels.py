"""What wsidicom and dicomweb-client see of a slide: as files in a folder, or as a series on a server.

usage: dicom_pixels.py FOLDER|URL OUT

Says what there is as JSON on standard output, and writes the pixels of each level to OUT/N.rgb, of label and overview to
OUT/label.rgb and OUT/overview.rgb. Of a server the one series is taken.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy
from dicomweb_client.api import DICOMwebClient
from wsidicom import WsiDicom, WsiDicomWebClient

source, out = sys.argv[1], Path(sys.argv[2])
said = {}
if source.startswith("http"):
    # pydicom says so of each ICC profile that is an address.
    warnings.filterwarnings("ignore", message="No bulk data URI handler")
    # This client sends a Host without the port.
    client = DICOMwebClient(source, headers={"X-Forwarded-Host": source.split("/")[2]})
    [series] = client.search_for_series(search_filters={"Modality": "SM"})
    study, series = (series[key]["Value"][0] for key in ("0020000D", "0020000E"))
    metadata = client.retrieve_series_metadata(study, series)
    path = metadata[0]["00480105"]["Value"][0]
    said["profile"] = len(client.retrieve_bulkdata(path["00282000"]["BulkDataURI"])[0])
    instances = client.search_for_instances(study, series)
    said["instances"] = len(instances)
    first = instances[0]["00080018"]["Value"][0]
    media_types = (("image/jpeg", "1.2.840.10008.1.2.4.50"),)
    frames = client.retrieve_instance_frames(study, series, first, [2, 1], media_types=media_types)
    said["frames"] = [len(frame) for frame in frames]
    said["file"] = int(client.retrieve_instance(study, series, first).NumberOfFrames)
    said["picture"] = len(client.retrieve_instance_rendered(study, series, first, params={"viewport": "64,64"}))
    slide = WsiDicom.open_web(WsiDicomWebClient(client), study, [series])
else:
    slide = WsiDicom.open(source)


def write(name, picture):
    pixels = numpy.asarray(picture.convert("RGB"))
    (out / f"{name}.rgb").write_bytes(pixels.tobytes())
    return [pixels.shape[1], pixels.shape[0]]


said["levels"] = []
said["spacing"] = []
for number, level in enumerate(slide.levels):
    size = (level.size.width, level.size.height)
    said["levels"].append(write(number, slide.read_region((0, 0), level.level, size)))
    said["spacing"].append([float(level.pixel_spacing.width), float(level.pixel_spacing.height)])
said["label"] = write("label", slide.read_label()) if slide.labels else None
said["overview"] = write("overview", slide.read_overview()) if slide.overviews else None
print(json.dumps(said))
