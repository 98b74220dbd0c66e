"""The example sentiment in Keras."""
import keras
import pandas as pd
from keras.layers import GRU, Dense, Embedding, TextVectorization
from sklearn.model_selection import train_test_split

rows = pd.read_csv("reviews.csv")
train, test = train_test_split(rows, test_size=0.2, stratify=rows.mood, random_state=42)
classes = sorted(train.mood.unique())
y_train, y_test = train.mood.map(classes.index).to_numpy(), test.mood.map(classes.index).to_numpy()

words = TextVectorization(max_tokens=1000)
words.adapt(train.review)
tokens = lambda texts: words(list(texts)).numpy()[:, :50]

model = keras.Sequential([
    Embedding(words.vocabulary_size(), 16, mask_zero=True),
    GRU(16),
    Dense(len(classes), activation="softmax"),
])
model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(tokens(train.review), y_train, epochs=10, verbose=0)
print("accuracy", model.evaluate(tokens(test.review), y_test, verbose=0)[1])

reviews = ["Great!", "The cast we saw there is not bad", "The story with the marvelous cast is not good."]
for review, probabilities in zip(reviews, model.predict(tokens(reviews), verbose=0)):
    print(f"{review}: {classes[probabilities.argmax()]}")
