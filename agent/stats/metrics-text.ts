/** Text of the Prometheus exposition format, gathered by metric so that each gets its lines together. */
export class MetricsText {
  readonly #families = new Map<string, { readonly head: string; lines: string }>();

  declare(name: string, type: 'counter' | 'gauge', help: string): void {
    this.#families.set(name, { head: `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`, lines: '' });
  }

  /** `labels` is the text between the braces; nothing is written for an undefined value. */
  add(name: string, labels: string, value: number | undefined, atMs?: number): void {
    const family = this.#families.get(name);
    if (value === undefined || !family) return;
    const time = atMs === undefined ? '' : ` ${atMs}`;
    family.lines += labels === '' ? `${name} ${value}${time}\n` : `${name}{${labels}} ${value}${time}\n`;
  }

  toString(): string {
    let text = '';
    for (const { head, lines } of this.#families.values()) if (lines !== '') text += head + lines;
    return text;
  }
}

export function labelText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(',');
}

const escaped = (value: string): string =>
  /[\\"\n]/.test(value) ? value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n') : value;

export const seconds = (nanoseconds: number | undefined): number | undefined =>
  nanoseconds === undefined ? undefined : nanoseconds / 1e9;
