type Method = (...args: unknown[]) => unknown;

/** The same object, of whose methods some tell how long they took; `names` has the word for each of them. */
export function timedMethods<T extends object>(
  target: T,
  names: Readonly<Partial<Record<keyof T & string, string>>>,
  took: (name: string, seconds: number, failed: boolean) => void,
): T {
  const words = new Map(Object.entries(names)) as ReadonlyMap<string | symbol, string>;
  return new Proxy(target, {
    get(_, name) {
      const own = Reflect.get(target, name, target) as unknown;
      if (typeof own !== 'function') return own;
      const method = (own as Method).bind(target);
      const word = words.get(name);
      if (word === undefined) return method;
      return (...args: unknown[]) => {
        const began = performance.now();
        const answer = method(...args);
        if (!(answer instanceof Promise)) return answer;
        const done = (failed: boolean): void => took(word, (performance.now() - began) / 1000, failed);
        answer.then(
          () => done(false),
          () => done(true),
        );
        return answer;
      };
    },
  });
}
