import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { defaultConfig } from '../config/agent-config.js';
import { loadConfig } from '../config/load-config.js';
import { berthFields, kubeletFields, withDefaults } from '../config/kubelet/index.js';
import { buildProgram } from './program.js';

type Fields = Readonly<Record<string, Field>>;
interface Field {
  readonly is: string;
  readonly idle?: string;
  readonly fields?: Fields;
}

const text = readFileSync(new URL('../../CONFIGURATION.md', import.meta.url), 'utf8');

/** Key, default and words of each row of the table below a heading. */
function tableBelow(heading: string): Map<string, readonly [string, string]> {
  const part = text.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  const rows = part.split('\n').filter((line) => line.startsWith('| `'));
  return new Map(
    rows.map((row) => {
      const [key = '', value = '', words = ''] = row
        .slice(1, -1)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim());
      return [key.replaceAll('`', ''), [value.replaceAll('`', ''), words] as const];
    }),
  );
}

/** `authentication.anonymous.enabled`: keys of objects one by one; those of lists of objects are told in words. */
function keysOf(fields: Fields, above = ''): [string, Field][] {
  return Object.entries(fields).flatMap(([name, field]): [string, Field][] =>
    field.is === 'object' && field.fields ? keysOf(field.fields, `${above}${name}.`) : [[`${above}${name}`, field]],
  );
}

/** `5m`, `2h30m`: as Go writes durations, without units that are nothing. */
function durationText(ms: number): string {
  if (ms === 0) return '0s';
  const parts = [
    [Math.floor(ms / 3_600_000), 'h'],
    [Math.floor(ms / 60_000) % 60, 'm'],
    [Math.floor(ms / 1000) % 60, 's'],
    [ms % 1000, 'ms'],
  ] as const;
  return parts.map(([amount, unit]) => (amount === 0 ? '' : `${amount}${unit}`)).join('');
}

const shown = (field: Field, value: unknown): string =>
  field.is === 'duration' && typeof value === 'number'
    ? durationText(value)
    : JSON.stringify(value).replaceAll('"', '');

test("every key of the kubelet's configuration is in the reference, with its default or why it has no effect", () => {
  const table = tableBelow('KubeletConfiguration');
  const fields = keysOf(kubeletFields);
  expect([...table.keys()]).toEqual(fields.map(([key]) => key));
  const defaults: Readonly<Record<string, unknown>> = withDefaults({});
  for (const [key, field] of fields) {
    const [value = '', words = ''] = table.get(key) ?? [];
    if (field.idle !== undefined) expect({ key, words }).toEqual({ key, words: `no effect: ${field.idle}` });
    else if (defaults[key] !== undefined) expect({ key, value }).toEqual({ key, value: shown(field, defaults[key]) });
    else expect(value, key).not.toBe('');
  }
});

test("so is every key of berth's own", () => {
  const table = tableBelow('BerthConfiguration');
  expect([...table.keys()]).toEqual(Object.keys(berthFields));
  const { paths, runtime, devices } = defaultConfig('node', 2);
  const defaults = {
    stateDir: paths.stateDir,
    runDir: paths.runDir,
    containerLogsDir: paths.containerLogsDir,
    cniConfDir: paths.cniConfDir,
    cniBinDirs: `[${paths.cniBinDirs.join(', ')}]`,
    runtime: runtime.endpoint,
    devices: String(devices.enabled),
  };
  for (const [key, value] of Object.entries(defaults)) expect([key, table.get(key)?.[0]]).toEqual([key, value]);
});

test('so is every option of the agent; those of a kubelet that are keys of the file are told there', () => {
  const nothing = (): Promise<void> => Promise.resolve();
  const { program } = buildProgram({ client: nothing, alone: nothing }, 'agent');
  const agent = program.commands.find((command) => command.name() === 'agent');
  expect([...tableBelow('Options of the agent').keys()]).toEqual(
    agent?.options.filter(({ hidden }) => !hidden).map(({ long }) => long),
  );
});

test('the example is understood', async () => {
  const [, example = ''] = /```yaml\n([^]*?)```/.exec(text) ?? [];
  const folder = await mkdtemp(join(tmpdir(), 'berth-reference-'));
  try {
    const file = join(folder, 'config.yaml');
    await writeFile(file, example);
    const { config, idle } = await loadConfig({ config: file }, { hostname: 'node', cpus: 2 });
    expect(idle).toEqual([]);
    expect(config).toMatchObject({
      limits: { maxPods: 50 },
      sources: { manifestPath: '/etc/berth/manifests' },
      devices: { pools: [{ resource: 'example.com/kvm', share: 10 }] },
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});
