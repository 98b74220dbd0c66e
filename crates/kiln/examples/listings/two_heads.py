"""The example two_heads in Keras."""
import keras
from keras.layers import Dense, Flatten

(x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
x_train, x_test = x_train / 255.0, x_test / 255.0
ink_train, ink_test = x_train.sum((1, 2)) / 100, x_test.sum((1, 2)) / 100
# Keras's label smoothing and F1 are for one-hot labels.
y_train, y_test = keras.utils.to_categorical(y_train), keras.utils.to_categorical(y_test)

image = keras.Input((28, 28))
h = Dense(128, activation="relu")(Flatten()(image))
digit = Dense(10, activation="softmax", name="digit")(h)
ink = Dense(1, name="ink")(h)
model = keras.Model(image, {"digit": digit, "ink": ink})

model.compile(
    keras.optimizers.RMSprop(0.0003, momentum=0.9),
    loss={"digit": keras.losses.CategoricalCrossentropy(label_smoothing=0.1), "ink": keras.losses.Huber(0.5)},
    loss_weights={"digit": 1.0, "ink": 0.5},
    metrics={"digit": [keras.metrics.F1Score(average="macro")], "ink": ["mae"]},
)
targets, test_targets = {"digit": y_train, "ink": ink_train}, {"digit": y_test, "ink": ink_test}
model.fit(x_train, targets, epochs=5, validation_data=(x_test, test_targets))
print(model.evaluate(x_test, test_targets, return_dict=True))
