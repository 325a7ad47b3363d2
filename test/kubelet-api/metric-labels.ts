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
