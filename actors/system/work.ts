/** What actors do beyond XState's reach: it goes on until its promise has ended, also after the actor was told to stop. */
export class Work {
  /** By actor; few runs have any. */
  #underWay: Map<string, Promise<void>> | undefined;

  add(key: string, done: Promise<unknown>): void {
    const ended = done.then(
      () => {},
      () => {},
    );
    const underWay = (this.#underWay ??= new Map());
    underWay.set(key, ended);
    void ended.then(() => {
      if (underWay.get(key) === ended) underWay.delete(key);
    });
  }

  /** What has not ended yet, by the actor whose it is. None of them rejects. */
  get underWay(): ReadonlyMap<string, Promise<void>> | undefined {
    return this.#underWay;
  }
}
