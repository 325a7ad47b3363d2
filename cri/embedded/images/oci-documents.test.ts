import { describe, expect, test } from 'vitest';
import { chainIds, parseConfig, parseIndex, parseManifest, sha256 } from './oci-documents.js';

const digest = `sha256:${'0'.repeat(64)}`;
const blob = { mediaType: 'm', digest, size: 1 };
const bytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

describe('documents of an image', () => {
  test('absent parts of a config are empty', () => {
    expect(parseConfig(bytes({ rootfs: { diff_ids: null }, config: null }), 'c')).toEqual({
      diffIds: [],
      created: undefined,
      config: { user: '', env: [], entrypoint: [], cmd: [], workingDir: '', volumes: [], labels: {}, stopSignal: '' },
    });
  });

  test.each([
    [{}, 'rootfs: not an object'],
    [{ rootfs: { diff_ids: ['../../x'] } }, 'no layer digest'],
    [{ rootfs: {}, config: { Env: 'A=B' } }, 'Env: not a list'],
    [{ rootfs: {}, config: { Entrypoint: [1] } }, 'Entrypoint[0]: not a string'],
    [{ rootfs: {}, config: { Labels: { a: 1 } } }, 'Labels.a: not a string'],
    [{ rootfs: {}, config: { User: {} } }, 'User: not a string'],
    [[], 'not an object'],
  ])('config %j is refused', (value, why) => expect(() => parseConfig(bytes(value), 'c')).toThrow(why));

  test.each([
    [{ schemaVersion: 1 }, 'schema version 1'],
    [{ schemaVersion: 2, config: { ...blob, digest: 'sha256:../../../etc/passwd' } }, 'is no digest'],
    [{ schemaVersion: 2, config: { ...blob, size: -1 } }, 'no size'],
    [{ schemaVersion: 2, config: blob, layers: {} }, 'not a list'],
    [{ schemaVersion: 2, config: blob, layers: [null] }, 'layers[0]: not an object'],
  ])('manifest %j is refused', (value, why) => expect(() => parseManifest(bytes(value), 'm')).toThrow(why));

  test('what is not JSON is refused without being quoted', () => {
    expect(() => parseIndex('root:x:0:0', 'index')).toThrow(/^read index: not JSON$/);
  });

  test('chain ids', () => {
    const [a, b] = [sha256('a'), sha256('b')];
    expect(chainIds([])).toEqual([]);
    expect(chainIds([a, b, a])).toEqual([a, sha256(`${a} ${b}`), sha256(`${sha256(`${a} ${b}`)} ${a}`)]);
  });
});
