import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';

const textOf = async (name: string): Promise<string> => await readFile(new URL(name, import.meta.url), 'utf8');

test('the README shows the first plugin as it is tested, in at most 60 lines', async () => {
  const plugin = (await textOf('examples/first-plugin.ts')).replace("'../index.js'", "'berth/deviceplugin'");
  expect(await textOf('README.md')).toContain(`\`\`\`ts\n${plugin}\`\`\``);
  expect(plugin.split('\n').length).toBeLessThanOrEqual(60);
});
