"""What a run ends with: photographs it never saw, through real files."""

from collections.abc import Sequence
from pathlib import Path

from jaxcorr import files, images
from jaxcorr.evaluation import formatting, measure
from jaxcorr.evaluation.learned import LearnedCodec
from jaxcorr.saved_model import Model


def write_samples(model: Model, paths: Sequence[Path], directory: Path) -> str:
    """Codes photographs to files, decodes those, and draws what came out.

    Args:
      model: What codes them.
      paths: The photographs.
      directory: Where the files, the decoded images, `table.json` and
        `comparison.png` go.

    Returns:
      The table of measurements.

    Raises:
      UserError: If a photograph cannot be read or a file cannot be written.
    """
    # Brings matplotlib, a fifth of all imports of a training, needed at its end alone.
    from jaxcorr.visualization import reconstructions

    originals = [images.read_image(path)[0] for path in paths]
    codec, coded = LearnedCodec(model), []
    for path, original in zip(paths, originals, strict=True):
        result = measure.measure_image(codec, original, path.name)
        files.write_file(directory / f"{path.stem}.jxc", result.data)
        images.write_image(directory / f"{path.stem}.png", result.reconstruction)
        coded.append(result)
    measured = [result.metrics for result in coded]
    reconstructions.save_figure(
        reconstructions.draw_reconstructions(originals, coded),
        directory / "comparison.png",
    )
    text = formatting.as_json(measured, codec.metadata())
    files.write_file(directory / "table.json", text.encode())
    return formatting.as_text(measured)
