"""The example autoencoder in Keras."""
import keras
import numpy as np
from keras.layers import Dense, Flatten, Reshape

(x_train, _), (x_test, _) = keras.datasets.mnist.load_data()
x_train, x_test = x_train / 255.0, x_test / 255.0

encoder = keras.Sequential([
    keras.Input((28, 28)),
    Flatten(),
    Dense(128, activation="relu"),
    Dense(64, activation="relu"),
    Dense(32, activation="relu"),
])
decoder = keras.Sequential([
    keras.Input((32,)),
    Dense(64, activation="relu"),
    Dense(128, activation="relu"),
    Dense(784, activation="sigmoid"),
    Reshape((28, 28)),
])
autoencoder = keras.Sequential([encoder, decoder])

autoencoder.compile(keras.optimizers.Adam(0.001), loss="binary_crossentropy")
autoencoder.fit(x_train, x_train, epochs=10, batch_size=128, validation_data=(x_test, x_test))
print(f"Test loss: {autoencoder.evaluate(x_test, x_test):.4f}")

images = x_test[:12]
again = autoencoder.predict(images)
print("The first code:", encoder.predict(images)[0])
keras.utils.save_img("autoencoder.png", np.vstack([np.hstack(images), np.hstack(again)])[..., None])
