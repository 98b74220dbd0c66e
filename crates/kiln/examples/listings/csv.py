# csv.rs in Keras, with pandas: from a CSV file to a trained model, and the rent of another flat.
import keras
import numpy as np
import pandas as pd
from keras import layers

table = pd.read_csv("rents.csv")
print(table.describe(include="all"))
test = table.sample(frac=0.2, random_state=42)
train = table.drop(test.index)
age = train["age"].median()
parts = sorted(train["part"].unique())


def inputs(rows):
    part = np.stack([rows["part"] == part for part in parts], 1)
    return np.column_stack([rows["size"], part, rows["age"].fillna(age)]).astype("float32")


normalization = layers.Normalization()
normalization.adapt(inputs(train))
model = keras.Sequential([normalization, layers.Dense(32, activation="relu"), layers.Dense(1)])
model.compile(keras.optimizers.Adam(0.05), "mse", metrics=[keras.metrics.R2Score()])
model.fit(inputs(train), train[["rent"]], epochs=40, verbose=0)
print("R²", model.evaluate(inputs(test), test[["rent"]], verbose=0)[1])

flat = pd.DataFrame({"part": ["center"], "size": [70], "age": [10]})
print("70 m² in the center, ten years old:", model.predict(inputs(flat), verbose=0)[0, 0])
