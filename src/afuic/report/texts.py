"""The page's standing texts: the terms in plain words, and what a report like this cannot prove."""

from __future__ import annotations

from afuic.evaluate.results import Results
from afuic.report.summary import FEW
from afuic.report.words import listed

GLOSSARY = (
    (
        "Shared model",
        "The one program that all hospitals train together; images never leave their hospital, only changes of the model do.",
    ),
    (
        "Update",
        "What one hospital sends after training for a while: a change of the model, not data.",
    ),
    (
        "Version",
        "The shared model gets a new version number with every update that enters it.",
    ),
    (
        "Versions behind (staleness)",
        "How many versions the shared model moved on while a hospital was still training from an older one.",
    ),
    (
        "Erasure request",
        "The demand that the model be as if it had never seen certain data: of a whole hospital, or of some of its patients.",
    ),
    (
        "Release",
        "The moment when the server gives out a model that is to be free of the data.",
    ),
    (
        "Quarantined",
        "An update of the erased hospital that came too late, was refused, and never entered the model.",
    ),
    (
        "Virtual time",
        "The simulated clock of the run: hospitals of different speeds, network delays and the server's own work are counted.",
    ),
    (
        "Retraining",
        "Training again from nothing without the data: the safe but slow way, and the yardstick here.",
    ),
    (
        "Spread and z",
        "Retrained models differ among themselves by chance. z is a method's distance from their mean, in "
        "units of that spread (their standard deviation). Whether they are told apart is decided by a test with a known "
        "rate of error, not by z alone: see “told apart”.",
    ),
    (
        "Told apart",
        "Outside of where 95 of 100 further retrained models would lie (a 95 % prediction interval). Of those, measures in which more, or "
        "less, is plainly better for everybody (accuracy, calibration, the mark) are not set in colour on their good side; of the erased "
        "images, and of the membership attack, nearer to retraining is better.",
    ),
    (
        "Test accuracy",
        "Share of images never used in training that the model classifies right.",
    ),
    (
        "Balanced accuracy",
        "The same, with every diagnosis counting alike, however rare.",
    ),
    (
        "AUROC",
        "How well the model ranks images with a diagnosis above those without, as a mean over the diagnoses that the test set shows: 1 is "
        "perfect, 0.5 is chance. Where it shows only one there is nothing to rank, and no value (n/a).",
    ),
    (
        "Calibration error",
        "How far the model's stated confidence is from its real rate of success.",
    ),
    (
        "Forget accuracy, forget loss",
        "How well the model still does on the images that were to be erased, with the labels they were held with.",
    ),
    (
        "Artificial mark (trigger)",
        "A small pattern put on some images of one hospital, with a false label, to see later whether the model still "
        "reacts to it. No method sees it, unless it is marked as an oracle.",
    ),
    (
        "Attack success, excess",
        "Share of marked test images taken for the false label; the excess is how much more often than without the mark.",
    ),
    (
        "Resurfacing",
        "What was erased comes back as the others train on. Hence the highest value after the release is given, not the last.",
    ),
    (
        "Membership attack",
        "Guessing from the model's confidence whether an image was used in training. The one used here is simple and weak.",
    ),
    (
        "Distance to retrained models",
        "How much answers differ from those of retrained models (Jensen–Shannon divergence, in nats, 0 to 0.69). The "
        "floor is how much retrained models differ from each other.",
    ),
    (
        "Oracle",
        "A method that was shown the mark it is then tested with. Not possible in practice; shown only to measure that "
        "advantage.",
    ),
)


def caveats(results: Results) -> list[str]:
    """What this report does not prove, with the run's own limits first."""
    runs = results.retrained.runs if results.retrained else 0
    own = [
        f"It is one run with one seed ({results.seed}) on one division of the data. Another run gives other numbers.",
        "Times come from a simulated clock, not from the networks and computers of real hospitals.",
    ]
    own += _absent(results)
    if runs < FEW:
        own.append(f"Retraining was repeated {runs} times, too few to know its spread well; read every z as a rough guide.")
    return [
        *own,
        "That no measure finds a trace does not mean that there is none. The attacks here are simple; stronger ones, that compare "
        "many models image by image, are not part of this report.",
        "The artificial mark is easy to measure, but it is not what patients' images are like. That it is gone says little about rare "
        "natural features.",
        "The curve is measured at intervals and on a part of the images; a short rise between two points would be missed.",
        "Models that hospitals or others received before the release, and copies or backups elsewhere, are outside of it.",
        "It shows nothing about how the model would do with patients, and it is no legal finding.",
    ]


def _absent(results: Results) -> list[str]:
    """Which classes and hospitals the test set says nothing of."""
    phase = next((p for m in results.methods.values() for p in m.phases.values()), None)
    if phase is None:
        return []
    classes = [str(index) for index, share in enumerate(phase.sensitivity) if share is None]
    hospitals = [name for name, share in phase.hospitals.items() if share is None]
    told = []
    if classes:
        many, shown = len(phase.sensitivity), len(phase.sensitivity) - len(classes)
        told.append(
            f"The test set shows {shown} of {many} classes, none of number {listed(classes)} (counted from 0): balanced accuracy and "
            f"AUROC are means over those that it shows{', and AUROC needs two' if shown < 2 else ''}."
        )
    if hospitals:
        told.append(
            f"There are no test images of {listed(hospitals)}, so nothing is said of {'it' if len(hospitals) == 1 else 'them'}."
        )
    return told
