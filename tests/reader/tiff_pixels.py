"""What tifffile and OpenSlide make of a TIFF: JSON on standard output, the pixels of every level as RGB bytes in files.

usage: tiff_pixels.py FILE FOLDER
Writes FOLDER/{tifffile,openslide}-LEVEL.rgb. Needs tifffile, imagecodecs, openslide-python and openslide-bin.
"""

import json
import sys

import openslide
import tifffile

path, folder = sys.argv[1:]


def keep(reader, level, pixels):
    with open(f"{folder}/{reader}-{level}.rgb", "wb") as file:
        file.write(pixels.tobytes())


with tifffile.TiffFile(path) as tiff:
    levels = tiff.series[0].levels
    for number, level in enumerate(levels):
        keep("tifffile", number, level.asarray())
    said = {
        "big": tiff.is_bigtiff,
        "svs": tiff.is_svs,
        "levels": [list(level.shape[1::-1]) for level in levels],
        "names": [series.name for series in tiff.series],
        "icc": tiff.pages[0].iccprofile is not None,
        "description": tiff.pages[0].description,
        # Every page decodes, those beside the pyramid too.
        "pages": [list(page.asarray().shape[1::-1]) for page in tiff.pages],
    }
with openslide.OpenSlide(path) as slide:
    for number, size in enumerate(slide.level_dimensions):
        keep("openslide", number, slide.read_region((0, 0), number, size).convert("RGB"))
    said["openslide"] = {
        "vendor": slide.properties["openslide.vendor"],
        "levels": [list(size) for size in slide.level_dimensions],
        "mpp": [slide.properties.get(f"openslide.mpp-{axis}") for axis in "xy"],
        "power": slide.properties.get("openslide.objective-power"),
        "associated": {name: list(image.size) for name, image in slide.associated_images.items()},
    }
print(json.dumps(said))
