/** The upper bounds of each histogram's buckets: what sums over nodes needs the same ones on each. */
export function boundsOf(text: string): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, Set<string>>();
  for (const [, name = '', bound = ''] of text.matchAll(/^(\w+)_bucket\{.*\ble="([^"]+)".*\} /gm)) {
    const known = found.get(name) ?? new Set();
    found.set(name, known.add(String(Number(bound.replace('+Inf', 'Infinity')))));
  }
  return new Map([...found].map(([name, bounds]) => [name, [...bounds]]));
}

/** The names of the labels of each metric in Prometheus' text format that has series. */
export function labelsOf(text: string): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, readonly string[]>();
  for (const line of text.split('\n')) {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+/.exec(line);
    if (!match) continue;
    const labels = [...(match[2] ?? '').matchAll(/(\w+)="(?:[^"\\]|\\.)*"/g)].map(([, label = '']) => label);
    found.set(match[1] ?? '', labels.toSorted());
  }
  return found;
}

/** What each metric is said to be. */
export function typesOf(text: string): ReadonlyMap<string, string> {
  return new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => [name, type]));
}

/** The values that one label has among the series of a metric. */
export function valuesOf(text: string, metric: string, label: string): readonly string[] {
  const series = text.matchAll(new RegExp(`^${metric}\\{(.*)\\} `, 'gm'));
  const values = [...series].flatMap(([, labels = '']) => new RegExp(`\\b${label}="([^"]*)"`).exec(labels)?.[1] ?? []);
  return [...new Set(values)].toSorted();
}

/** Whether the series of each metric say when they were counted; one that has both kinds is not told. */
export function stampedOf(text: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [, name = '', at] of text.matchAll(/^([a-zA-Z_:][\w:]*)(?:\{.*\})? \S+( \d+)?$/gm)) {
    const stamped = at === undefined ? 'no time' : 'a time';
    const known = found.get(name);
    found.set(name, known === undefined || known === stamped ? stamped : 'both');
  }
  return new Map([...found].filter(([, kind]) => kind !== 'both'));
}
