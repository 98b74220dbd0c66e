# pictures.rs in Keras: from a folder of pictures to a trained model, and a new picture predicted.
import keras
import numpy as np
from keras import layers

train, test = keras.utils.image_dataset_from_directory(
    "photos", image_size=(24, 24), batch_size=16, validation_split=0.25, subset="both", seed=42, crop_to_aspect_ratio=True
)
classes = train.class_names
model = keras.Sequential([
    layers.Rescaling(1 / 255),
    layers.RandomTranslation(0.1, 0.1),
    layers.RandomZoom(0.1, 0.1),
    layers.Conv2D(8, 3, activation="relu"),
    layers.MaxPooling2D(),
    layers.Conv2D(16, 3, activation="relu"),
    layers.MaxPooling2D(),
    layers.Flatten(),
    layers.Dense(len(classes), activation="softmax"),
])
model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(train, epochs=12, verbose=0)
print("accuracy", model.evaluate(test, verbose=0)[1])
model.save("photos.keras")

model = keras.models.load_model("photos.keras")
image = keras.utils.load_img("new.png", target_size=(24, 24), keep_aspect_ratio=True)
print("new.png:", classes[np.argmax(model.predict(np.array(image)[None], verbose=0))])
