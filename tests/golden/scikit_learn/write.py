"""Writes what scikit-learn makes of some numbers and labels, pickled by pickle and by joblib.

Run it by each version's own Python, of 2.7 to the latest: `python write.py`. It writes one archive,
called as scikit-learn's version and Python's, of

    expected.json    the versions; of each scaler its numbers, what it makes of them and what its
                     inverse makes of that, each number in hexadecimal; of each encoder its labels
    NAME.pickle      by pickle, in its default protocol; scaler_standard also as NAME.0.pickle, ...
    NAME.joblib      by joblib, plain; scaler_standard also compressed, as NAME.joblib.zlib, ...
    classes_*.npy    by numpy.save, as people keep an encoder's classes

scikit-learn's own joblib, which versions before 0.21 have, is used where it is there.
"""

import json
import os
import pickle
import platform
import shutil
import sys
import tarfile
import tempfile
import warnings

import numpy as np
import sklearn
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    LabelBinarizer,
    LabelEncoder,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    RobustScaler,
    StandardScaler,
)

warnings.simplefilter("ignore")
try:  # scikit-learn's own, which 0.21 and 0.22 no longer have whole
    from sklearn.externals import joblib

    if not hasattr(joblib, "__version__"):
        raise ImportError("it hands on the name alone")
except ImportError:
    import joblib
try:
    import pandas
except ImportError:
    pandas = None

NAMES = ["temperature", "wind", "rain"]
# The first column does not vary.
DATA = np.random.RandomState(5).normal([3.0, -2.0, 250.0], [0.0, 0.7, 41.0], (20, 3))
OTHERS = np.random.RandomState(6).normal([3.1, -2.3, 250.0], [0.3, 1.3, 90.0], (7, 3))
WORDS = ["neutral", "positive", b"n\xc3\xa9gatif".decode("utf-8"), "neutral", "positive"]
NUMBERS = [7, 3, 3, 11]


def scalers():
    found = {
        "scaler_standard": StandardScaler(),
        "scaler_standard_no_mean": StandardScaler(with_mean=False),
        "scaler_standard_no_std": StandardScaler(with_std=False),
        "scaler_standard_neither": StandardScaler(with_mean=False, with_std=False),
        "scaler_min_max": MinMaxScaler(),
        "scaler_min_max_range": MinMaxScaler(feature_range=(-1, 2.5)),
        "scaler_max_abs": MaxAbsScaler(),
        "scaler_robust": RobustScaler(quantile_range=(10.0, 80.0)),
        "scaler_robust_no_center": RobustScaler(with_centering=False),
        "scaler_pipeline": Pipeline(
            [("first", RobustScaler()), ("none", None), ("then", MinMaxScaler((0.1, 0.9)))]
        ),
    }
    try:
        found["scaler_min_max_clip"] = MinMaxScaler(clip=True)
        found["scaler_max_abs_clip"] = MaxAbsScaler(clip=True)
    except TypeError:
        pass
    if version() >= (1, 3):
        found["scaler_pipeline"].set_params(none="passthrough")
    return found


def encoders():
    """Each, and its labels in their order."""
    words = np.array(WORDS)
    found = {
        "encoder_label": (LabelEncoder().fit(words), "classes_"),
        "encoder_label_objects": (LabelEncoder().fit(words.astype(object)), "classes_"),
        "encoder_label_numbers": (LabelEncoder().fit(NUMBERS), "classes_"),
        "encoder_binarizer": (LabelBinarizer().fit(words), "classes_"),
        "encoder_one_hot": (OneHotEncoder().fit(words.astype(object)[:, None]), "categories_"),
    }
    return {
        name: (encoder, getattr(encoder, key)[0] if key == "categories_" else encoder.classes_)
        for name, (encoder, key) in found.items()
    }


def version():
    return tuple(int(part) for part in sklearn.__version__.split(".")[:2])


def hexadecimal(numbers):
    return [[float(number).hex() for number in row] for row in np.atleast_2d(numbers)]


def main():
    folder = tempfile.mkdtemp()
    expected = {
        "versions": {
            "scikit-learn": sklearn.__version__,
            "joblib": joblib.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "given": hexadecimal(OTHERS),
        "scalers": {},
        "labels": {},
    }
    for name, scaler in sorted(scalers().items()):
        scaler.fit(DATA)
        dump(scaler, folder, name)
        made = scaler.transform(OTHERS)
        back = scaler.inverse_transform(made)
        expected["scalers"][name] = {"made": hexadecimal(made), "back": hexadecimal(back)}
    if pandas is not None and version() >= (1, 0):
        scaler = MinMaxScaler().fit(pandas.DataFrame(DATA, columns=NAMES))
        dump(scaler, folder, "scaler_named")
        made = scaler.transform(pandas.DataFrame(OTHERS, columns=NAMES))
        back = scaler.inverse_transform(made)
        expected["scalers"]["scaler_named"] = {
            "made": hexadecimal(made),
            "back": hexadecimal(back),
            "features": NAMES,
        }
    for name, (encoder, labels) in sorted(encoders().items()):
        dump(encoder, folder, name)
        expected["labels"][name] = labels.tolist()
    words = np.array(WORDS)
    np.save(os.path.join(folder, "classes_texts.npy"), np.unique(words))
    np.save(os.path.join(folder, "classes_objects.npy"), np.unique(words).astype(object))
    with open(os.path.join(folder, "expected.json"), "wb") as file:
        file.write(json.dumps(expected, sort_keys=True).encode("ascii"))
    target = "{}-py{}.{}.tar.bz2".format(sklearn.__version__, *sys.version_info[:2])
    with tarfile.open(target, "w:bz2") as archive:
        for name in sorted(os.listdir(folder)):
            archive.add(os.path.join(folder, name), name)
    shutil.rmtree(folder)
    sys.stdout.write(" ".join([target, str(os.path.getsize(target))]) + "\n")


def dump(value, folder, name):
    """Write it as people do; one of them in every way there is."""
    path = os.path.join(folder, name)
    with open(path + ".pickle", "wb") as file:
        pickle.dump(value, file)
    joblib.dump(value, path + ".joblib")
    if name != "scaler_standard":
        return
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with open(".".join([path, str(protocol), "pickle"]), "wb") as file:
            pickle.dump(value, file, protocol)
    ways = ("zlib", "gzip", "bz2") + (("xz", "lzma") if sys.version_info[0] > 2 else ())
    for way in ways:
        joblib.dump(value, path + ".joblib." + way, compress=(way, 3))


if __name__ == "__main__":
    main()
