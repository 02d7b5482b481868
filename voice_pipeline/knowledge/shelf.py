"""Joins articles, kept vectors and the policy pack into a searchable `Knowledge`."""

from __future__ import annotations

from collections.abc import Sequence

from voice_pipeline.knowledge.article import Article
from voice_pipeline.knowledge.index import Knowledge, Topics, embed_article
from voice_pipeline.knowledge.library import Library
from voice_pipeline.policy.pack import Pack
from voice_pipeline.ports import Embedder, Vectors
from voice_pipeline.spoken.fewshot import fitted


def open_knowledge(
    articles: Sequence[Article],
    library: Library | None,
    pack: Pack,
    embedder: Embedder | None = None,
) -> Knowledge:
    """Return articles ready to be searched.

    Args:
        articles: approved and in date.
        library: where vectors are kept; None: they are made anew.
        pack: its examples of how people ask bridge the words of callers and articles.
        embedder: None: search by words.
    """

    def topics() -> Topics:
        return fitted(*pack.taxonomy.phrasings)

    def vectors_of(article: Article) -> Vectors:
        assert embedder is not None
        kept = library.vectors(article.sha256, embedder.made_by) if library else None
        if kept is None:
            kept = embed_article(article, embedder)
            if library:
                library.keep_vectors(article.sha256, embedder.made_by, kept)
        return kept

    return Knowledge(
        articles,
        topics=topics if embedder is None else None,
        embedder=embedder,
        vectors_of=vectors_of if embedder is not None else None,
    )
