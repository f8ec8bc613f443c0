"""WAH at small size: losses and mean assignments by the map, the similarity and the weights."""

from golden.problems import digits

from mvlib.methods.views.wah import WAH

SETTINGS = {
    "hidden_dims": (32,), "embedding_dim": 32, "lorentz_dims": (24, 16), "epochs": 3,
    "batch_size": 64, "n_directions": 16, "learning_rate": 1e-3, "random_state": 3,
    "device": "cpu",
}  # fmt: skip


def fitted(n_views=2, **settings):
    def run():
        views = [*digits(), digits()[0][:, ::2]][:n_views]
        model = WAH(10, **SETTINGS | settings).fit(views)
        return {**model.history_, "mean of A": model.embedding_.mean(axis=0)}

    return run


CASES = {
    "wah": {
        "as coded": fitted(),
        "the paper's map": fitted(reading="paper"),
        "without the distance": fitted(distance_weight=0.0),
        "inner products, absolute differences": fitted(similarity="product", power=1.0),
        "three views": fitted(n_views=3),
    }
}
