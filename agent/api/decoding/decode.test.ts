import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ManifestDecoder } from './decode.js';
import { resolvePlain } from './yaml-tree.js';

const decoder = new ManifestDecoder();

/** `line:column path: message` of everything that is wrong with a text. */
function problemsOf(text: string | Uint8Array): string[] {
  return decoder.decodeText(text).flatMap(({ problems }) => {
    return problems.map(({ line, column, path, message }) => `${line}:${column} ${path}: ${message}`);
  });
}

function pod(spec: string): string {
  return `apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n${spec}`;
}

test('a good pod comes out typed, with quantities in canonical form', () => {
  const [entry] = decoder.decodeText(
    pod(
      '  containers:\n  - name: a\n    image: busybox\n    resources: {limits: {cpu: 0.5, memory: 1024Ki}}\n    ports: [{containerPort: 80}]\n',
    ),
  );
  expect(entry?.problems).toEqual([]);
  expect(entry?.object).toEqual({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web' },
    spec: {
      containers: [
        {
          name: 'a',
          image: 'busybox',
          resources: { limits: { cpu: '500m', memory: '1Mi' } },
          ports: [{ containerPort: 80 }],
        },
      ],
    },
  });
});

test('the newest pod fields are known', () => {
  const text = pod(
    [
      '  hostnameOverride: other',
      '  resources: {limits: {cpu: 1}}',
      '  volumes: [{name: i, image: {reference: a/b}}, {name: e, emptyDir: {}}]',
      '  containers:',
      '  - name: a',
      '    restartPolicy: Never',
      '    restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [1]}}]',
      '    resizePolicy: [{resourceName: cpu, restartPolicy: NotRequired}]',
      '    env: [{name: A, valueFrom: {fileKeyRef: {volumeName: e, path: env, key: A}}}]',
    ].join('\n'),
  );
  expect(problemsOf(text)).toEqual([]);
});

describe('each problem with line, column and path', () => {
  test.each<[string, string, string[]]>([
    [
      'unknown field',
      pod('  containers:\n  - name: a\n    imagee: x\n'),
      ['8:5 spec.containers[0].imagee: unknown field; did you mean "image"?'],
    ],
    [
      'unknown field without a near name',
      pod('  containers: []\n  zzzzzzzzzz: 1\n'),
      ['7:3 spec.zzzzzzzzzz: unknown field'],
    ],
    [
      'inherited names are no fields',
      pod('  containers: []\n  constructor: 1\n'),
      ['7:3 spec.constructor: unknown field'],
    ],
    [
      'wrong types, all of them',
      pod('  hostNetwork: "yes"\n  terminationGracePeriodSeconds: soon\n  containers:\n    name: a\n'),
      [
        '6:16 spec.hostNetwork: expected true or false, found a text',
        '7:34 spec.terminationGracePeriodSeconds: expected a whole number, found a text',
        '9:5 spec.containers: expected a list, found an object',
      ],
    ],
    [
      'a number for a text, without showing it',
      pod('  containers:\n  - {name: a, env: [{name: A, value: 12345}]}\n'),
      ['7:38 spec.containers[0].env[0].value: expected a text, found a number; put it in quotes'],
    ],
    [
      'a boolean for a text',
      pod('  containers:\n  - {name: a, env: [{name: A, value: yes}]}\n'),
      ['7:38 spec.containers[0].env[0].value: expected a text, found the boolean true; put it in quotes'],
    ],
    [
      'bad quantity',
      pod('  containers:\n  - {name: a, resources: {limits: {memory: 64MB}}}\n'),
      [
        `7:44 spec.containers[0].resources.limits.memory: "64MB": quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'; sizes are written like 64Ki, 64Mi, 64Gi or 64k, 64M, 64G`,
      ],
    ],
    [
      'duplicate key',
      pod('  containers:\n  - name: a\n    image: x\n    image: y\n'),
      ['9:5 spec.containers[0].image: is given twice'],
    ],
    [
      'missing required field',
      pod('  containers:\n  - image: x\n'),
      ['7:5 spec.containers[0].name: is missing; it must be set'],
    ],
    [
      'a word that is not one of the choices',
      pod('  restartPolicy: always\n  containers: []\n'),
      ['6:18 spec.restartPolicy: Unsupported value: "always": supported values: "Always", "OnFailure", "Never"'],
    ],
    ['empty list item', pod('  containers:\n  -\n'), ['7:4 spec.containers[0]: is empty']],
    [
      'number too large',
      pod('  containers: [{name: a, ports: [{containerPort: 99999999999}]}]\n'),
      ['6:50 spec.containers[0].ports[0].containerPort: the number does not fit into 32 bits'],
    ],
    [
      'unsupported kind',
      'apiVersion: apps/v1\nkind: Deployment\n',
      ['2:1 kind: unknown kind "Deployment" in "apps/v1"; a node runs pods (kind: Pod), not what makes them'],
    ],
    ['mistyped kind', 'apiVersion: v1\nkind: Pdo\n', ['2:1 kind: unknown kind "Pdo" in "v1"; did you mean "Pod"?']],
    ['wrong apiVersion', 'apiVersion: v2\nkind: Pod\n', ['1:1 apiVersion: Pod is known as apiVersion "v1", not "v2"']],
    [
      'neither kind nor apiVersion',
      'a: 1\n',
      [
        '1:1 apiVersion: is missing; it must be set, for a Pod to "v1"',
        '1:1 kind: is missing; it must be set, for example to "Pod"',
      ],
    ],
    ['no object at all', 'hello\n', ['1:1 : expected an object with apiVersion and kind']],
    [
      'secret data that is not base64, without showing it',
      'apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {password: hunter2}\n',
      ['4:18 data.password: is not base64; plain text belongs in stringData (Secret) or data (ConfigMap)'],
    ],
  ])('%s', (_, text, problems) => {
    expect(problemsOf(text)).toEqual(problems);
  });

  test('tabs', () => {
    expect(problemsOf('apiVersion: v1\nkind: Pod\nmetadata:\n\tname: web\n')).toEqual([
      '4:1 : a tab is used as indentation; YAML allows spaces only',
    ]);
  });

  test('JSON indented with tabs is fine', () => {
    expect(
      problemsOf('{\n\t"apiVersion": "v1",\n\t"kind": "ConfigMap",\n\t"metadata": {\n\t\t"name": "c"\n\t}\n}'),
    ).toEqual([]);
  });

  test('two documents, one broken: the other is good', () => {
    const entries = decoder.decodeText(
      `${pod('  containers: [{name: a, imagee: x}]\n')}---\n# nothing\n---\n${pod('  containers: [{name: b}]\n')}`,
    );
    expect(
      entries.map(({ line, problems, object, identity }) => [
        line,
        problems.length,
        object !== undefined,
        identity.name,
      ]),
    ).toEqual([
      [1, 1, false, 'web'],
      [10, 0, true, 'web'],
    ]);
  });

  test('a document with broken YAML still tells its name', () => {
    const [entry] = decoder.decodeText('apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [}\n');
    expect(entry?.problems.length).toBeGreaterThan(0);
    expect(entry?.identity).toEqual({ apiVersion: 'v1', kind: 'Pod', name: 'web' });
  });
});

test('lists are taken apart; the items of a PodList need no kind', () => {
  const list = decoder.decodeText(
    'apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a}\n- metadata: {name: b, x: 1}\n',
  );
  expect(list.map(({ identity, problems }) => [identity.kind, identity.name, problems.length])).toEqual([
    ['Pod', 'a', 0],
    ['Pod', 'b', 1],
  ]);
  const mixed = decoder.decodeText(
    'apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}]\n',
  );
  expect(mixed.map(({ object }) => object?.kind)).toEqual(['ConfigMap']);
});

test('null means not set; keys that every object inherits are data like any other', () => {
  const [entry] = decoder.decodeText(
    'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, labels: }\ndata: {__proto__: a, constructor: b, empty: }\n',
  );
  expect(entry?.problems).toEqual([]);
  expect(JSON.stringify(entry?.object)).toBe(
    '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"__proto__":"a","constructor":"b","empty":""}}',
  );
});

test.each<[string, unknown]>([
  ['0644', 420],
  ['0o644', 420],
  ['0x1F', 31],
  ['08', 8],
  ['-5', -5],
  ['1_000', 1000],
  ['1e3', 1000],
  ['.5', 0.5],
  ['yes', true],
  ['Off', false],
  ['~', null],
  ['', null],
  ['12:30', '12:30'],
  ['2020-01-01', '2020-01-01'],
  ['1.2.3', '1.2.3'],
  ['-', '-'],
])('plain %j reads as %j, as Kubernetes reads it', (text, value) => {
  expect(resolvePlain(text)).toBe(value);
});

test('anchors, aliases and merge keys', () => {
  const [entry] = decoder.decodeText(
    pod('  containers:\n  - &base {name: a, image: x}\n  - {<<: *base, name: b}\n').replace(
      'metadata:',
      'metadata: # c',
    ),
  );
  expect(entry?.problems).toEqual([]);
  expect(entry?.object).toMatchObject({
    spec: {
      containers: [
        { name: 'a', image: 'x' },
        { name: 'b', image: 'x' },
      ],
    },
  });
});

describe('hostile input ends in a problem, soon', () => {
  const bomb = [
    'a: &a [1,1,1,1,1,1,1,1,1,1]',
    ...Array.from('bcdefghij').map(
      (name, index) => `${name}: &${name} [${Array.from({ length: 10 }, () => `*${'abcdefghi'[index]}`).join(',')}]`,
    ),
  ];
  test.each<[string, string | Uint8Array, string]>([
    ['2 MB of [', '['.repeat(2e6), 'too-deep'],
    ['1 MB of [ and ]', '['.repeat(1e6) + ']'.repeat(1e6), 'too-deep'],
    ['2 MB of {a: ', '{a: '.repeat(5e5), 'too-deep'],
    ['2 MB of "- "', '- '.repeat(1e6), 'too-deep'],
    ['2 MB of "? "', '? '.repeat(1e6), 'too-deep'],
    ['nested blocks', Array.from({ length: 1900 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n'), 'too-deep'],
    ['an alias bomb', bomb.join('\n'), 'too-many-values'],
    ['an alias to itself', 'a: &a [*a]', 'syntax'],
    ['an alias to nothing', 'a: *b', 'syntax'],
    ['a million values', `[${'1,'.repeat(1e6)}]`, 'too-large'],
    ['11 MB', new Uint8Array(11e6), 'too-large'],
    ['no text', new Uint8Array([0xff, 0xfe, 0x41]), 'not-text'],
    ['a zero byte', 'a: \0', 'not-text'],
  ])('%s', (_, text, code) => {
    const started = performance.now();
    const entries = decoder.decodeText(text);
    expect(entries.flatMap(({ problems }) => problems.map((problem) => problem.code))).toContain(code);
    expect(entries.every(({ object }) => object === undefined)).toBe(true);
    expect(performance.now() - started).toBeLessThan(8000);
  });

  test('deep JSON that is parsed already', () => {
    let value: unknown = 1;
    for (let depth = 0; depth < 100_000; depth++) value = [value];
    expect(decoder.decodeValue(value)[0]?.problems.map(({ code }) => code)).toEqual(['too-deep']);
  });

  test('a thousand mistakes are cut to a readable number', () => {
    const fields = Array.from({ length: 1000 }, (_, index) => `  zz${index}q: 1\n`).join('');
    expect(problemsOf(pod(fields)).length).toBe(101);
  });
});

test('no input makes it throw', () => {
  const pieces = fc.constantFrom(
    'a',
    ':',
    ' ',
    '\n',
    '- ',
    '[',
    ']',
    '{',
    '}',
    '&a',
    '*a',
    '!!str',
    '"',
    "'",
    '|',
    '>',
    '<<',
    '%',
    '#',
    '\t',
    '---\n',
    '1',
    'kind: Pod',
    'apiVersion: v1',
    ',',
    '?',
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 40 }), (parts) => {
      for (const entry of decoder.decodeText(parts.join(''))) {
        expect(entry.object === undefined).toBe(entry.problems.length > 0);
        entry.locate('spec.containers[0].image');
      }
    }),
    { numRuns: 500 },
  );
});

test('any JSON value decodes or is refused the same way as text and as a value', () => {
  fc.assert(
    fc.property(fc.object({ maxDepth: 3 }), (value) => {
      const object = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' }, spec: { containers: [value] } };
      const plain = JSON.parse(JSON.stringify(object)) as unknown;
      const fromValue = decoder
        .decodeValue(plain)
        .flatMap(({ problems }) => problems.map(({ path, message }) => `${path}: ${message}`));
      const fromText = decoder
        .decodeText(JSON.stringify(plain))
        .flatMap(({ problems }) => problems.map(({ path, message }) => `${path}: ${message}`));
      expect(new Set(fromText)).toEqual(new Set(fromValue));
    }),
  );
});
