import { describe, expect, test } from 'vitest';
import { parseConfigFile, parseNetworkConfig, parsePluginFile } from './network-config.js';

const bridge = { type: 'bridge', bridge: 'b0', capabilities: { ips: true, mac: false } };

function parse(
  value: unknown,
  folderPlugins: Parameters<typeof parseNetworkConfig>[1] = [],
): ReturnType<typeof parseNetworkConfig> {
  return parseNetworkConfig(parseConfigFile(JSON.stringify(value)).value, folderPlugins);
}

describe('a list', () => {
  test('is read with its flags, versions and capabilities', () => {
    const list = {
      cniVersion: '0.4.0',
      cniVersions: ['1.0.0', '9.9.9'],
      name: 'a',
      disableCheck: 'TRUE',
      disableGC: true,
      plugins: [bridge],
    };
    expect(parse(list)).toEqual({
      name: 'a',
      versions: ['0.4.0', '1.0.0'],
      disableCheck: true,
      disableGC: true,
      plugins: [{ type: 'bridge', capabilities: ['ips'], config: bridge }],
      list,
    });
  });

  test('without a version allows all of them', () => {
    expect(parse({ name: 'a', plugins: [bridge] }).versions).toHaveLength(7);
  });

  test('takes plugins of its folder behind its own, and keeps them in what is recorded', () => {
    const network = parse({ cniVersion: '1.1.0', name: 'a', plugins: [bridge] }, [{ type: 'late' }]);
    expect(network.plugins.map((p) => p.type)).toEqual(['bridge', 'late']);
    expect(parseNetworkConfig(network.list)).toEqual(network);
  });

  test('a single plugin is a list of one', () => {
    const file = parseConfigFile('\uFEFF{"cniVersion":"0.3.1","name":"a","type":"ptp","mtu":9}');
    expect(file.takesFolderPlugins).toBe(false);
    expect(parseNetworkConfig(file.value)).toMatchObject({
      name: 'a',
      versions: ['0.3.1'],
      plugins: [{ type: 'ptp', config: { type: 'ptp', mtu: 9 } }],
    });
  });
});

test.each([
  ['', 'the file is empty'],
  ['{', 'not JSON'],
  ['[]', 'expected an object, found a list'],
  ['{"plugins":[]}', 'name: missing'],
  ['{"name":7}', 'name: expected a string, found a number'],
  ['{"name":"../x","plugins":[{"type":"a"}]}', 'name: "../x"'],
  ['{"name":"a","plugins":{}}', 'plugins: expected a list, found an object'],
  ['{"name":"a","plugins":[]}', 'plugins: the list is empty'],
  ['{"name":"a","plugins":[null]}', 'plugins[0]: expected an object, found null'],
  ['{"name":"a","plugins":[{}]}', 'plugins[0].type: missing'],
  ['{"name":"a","plugins":[{"type":"../../bin/sh"}]}', 'plugins[0].type: "../../bin/sh" cannot'],
  [
    '{"name":"a","plugins":[{"type":"x","capabilities":[]}]}',
    'plugins[0].capabilities: expected an object, found a list',
  ],
  ['{"name":"a","cniVersion":"2.0.0","plugins":[{"type":"x"}]}', 'cniVersion: 2.0.0 is not spoken here'],
  ['{"name":"a","cniVersion":1,"plugins":[{"type":"x"}]}', 'cniVersion: expected a string, found a number'],
  ['{"name":"a","cniVersions":"1.0.0","plugins":[{"type":"x"}]}', 'cniVersions: expected a list, found a string'],
  ['{"name":"a","disableGC":"perhaps","plugins":[{"type":"x"}]}', 'disableGC: expected true or false, found a string'],
  ['{"name":"a","loadOnlyInlinedPlugins":true}', 'plugins: missing, and loadOnlyInlinedPlugins is true'],
])('%s is refused: %s', (text, reason) => {
  expect(() => parseNetworkConfig(parseConfigFile(text).value)).toThrow(reason);
});

test('a file of the plugin folder needs a type', () => {
  expect(parsePluginFile('{"type":"x","a":1}')).toEqual({ type: 'x', a: 1 });
  expect(() => parsePluginFile('{"name":"x"}')).toThrow('type: missing');
});
