"""The usual sets of images: where they come from, and how to prepare each."""

import dataclasses
import textwrap

COLUMNS = 80
"""Width of the description in characters."""


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """A set of images that others hold.

    Attributes:
      name: Name of the set.
      use: What it is used for.
      size: Number of images, and bytes of the download.
      address: Where it comes from.
      licence: What is known about its licence.
      commands: How to prepare it, once it is downloaded.
    """

    name: str
    use: str
    size: str
    address: str
    licence: str
    commands: tuple[str, ...]

    def __str__(self) -> str:
        """Returns the lines for a user."""
        facts = [self.size, self.address, f"licence: {self.licence}"]
        lines = [f"{self.name} ({self.use})"]
        for fact in facts:
            lines += textwrap.wrap(
                fact,
                COLUMNS,
                initial_indent="  ",
                subsequent_indent="    ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        return "\n".join([*lines, *(f"  $ {command}" for command in self.commands)])


IMAGE_SETS = (
    ImageSet(
        "CLIC 2020",
        "training and tests",
        "1,633 images for training, 102 for validation, 428 for tests: PNG, 8.0 GB",
        "https://www.compression.cc, https://www.tensorflow.org/datasets/catalog/clic",
        "TFDS names none; see the pages of the challenge",
        (
            "tfds build clic --file_format array_record --data_dir DATA",
            "jaxcorr prepare tfds:clic --directory DATA -o CLIC",
        ),
    ),
    ImageSet(
        "OpenImages V4",
        "training",
        "1,743,042 images for training, 41,620 for validation, 125,436 for tests: "
        "JPEG, 601 GB",
        "https://storage.googleapis.com/openimages/web/index.html, "
        "https://www.tensorflow.org/datasets/catalog/open_images_v4",
        "listed as CC BY 2.0; its makers ask users to verify that for each image",
        (
            "tfds build open_images_v4 --file_format array_record --data_dir DATA",
            "jaxcorr prepare tfds:open_images_v4 --directory DATA -o OPENIMAGES "
            "--downscale 1.5 2",
        ),
    ),
    ImageSet(
        "ImageNet (ILSVRC 2012)",
        "training",
        "1,281,167 images for training, 50,000 for validation: JPEG, 156 GiB as TFDS",
        "https://image-net.org (a registration is needed), "
        "https://www.tensorflow.org/datasets/catalog/imagenet2012",
        "terms of access, for research that is not commercial",
        ("jaxcorr prepare ILSVRC2012_img_train -o IMAGENET",),
    ),
    ImageSet(
        "Vimeo-90k (septuplets)",
        "training",
        "91,701 sequences of 7 frames of 448x256: PNG, 82 GB",
        "http://toflow.csail.mit.edu",
        "not known to us; the videos are those of users of Vimeo",
        ("jaxcorr prepare vimeo_septuplet/sequences -o VIMEO",),
    ),
    ImageSet(
        "DIV2K",
        "training",
        "800 images for training, 100 for validation: PNG, 3.5 and 0.4 GB",
        "https://data.vision.ee.ethz.ch/cvl/DIV2K",
        "for academic research only",
        ("jaxcorr prepare DIV2K_train_HR -o DIV2K",),
    ),
    ImageSet(
        "Flickr2K",
        "training",
        "2,650 images: PNG",
        "https://cv.snu.ac.kr/research/EDSR/Flickr2K.tar",
        "none is stated; photographs of Flickr",
        ("jaxcorr prepare Flickr2K/Flickr2K_HR -o FLICKR2K",),
    ),
    ImageSet(
        "LIU4K v2",
        "training",
        "1,600 images for training, 400 for validation, with sides from 3,000 pixels: "
        "PNG",
        "https://structpku.github.io/LIU4K_Dataset/LIU4K_v2.html",
        "see its page: those who use it name different ones",
        ("jaxcorr prepare LIU4K_v2_train -o LIU4K",),
    ),
    ImageSet(
        "Kodak",
        "tests only",
        "24 images of 768x512: PNG, 15 MB",
        "https://r0k.us/graphics/kodak",
        "released by Kodak for unrestricted use",
        ("jaxcorr evaluate KODAK -m MODEL",),
    ),
    ImageSet(
        "Tecnick (TESTIMAGES, RGB)",
        "tests only",
        "100 images of 1200x1200 (RGB_OR_1200x1200): PNG",
        "https://testimages.org, "
        "https://sourceforge.net/projects/testimages/files/OLD/OLD_SAMPLING",
        "CC BY-NC-SA 3.0, by the README of the archive of 2011",
        ("jaxcorr evaluate RGB_OR_1200x1200 -m MODEL",),
    ),
)
"""The sets, in the order in which they are listed."""


def describe() -> str:
    """Returns where the usual sets are, and how to prepare each."""
    introduction = (
        "jaxcorr downloads none of these. Read the licence at the address: what is "
        "said here may be outdated. `tfds build` takes pip install 'jaxcorr[prepare]'."
    )
    sets = "\n\n".join(map(str, IMAGE_SETS))
    return f"{textwrap.fill(introduction, COLUMNS)}\n\n{sets}"
