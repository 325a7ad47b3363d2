// Writes proto/generated/*.ts from the .proto files beside it: `node proto/generate.mjs`.
// One interface a message, every field optional as proto3 has it (absent is the zero value); enums as unions of their value
// names; 64-bit integers as numbers, bytes as Uint8Array. The same shapes come out of proto/load.ts on the wire.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import { addCommonProtos } from '@grpc/proto-loader/build/src/util.js';

addCommonProtos();

const here = dirname(fileURLToPath(import.meta.url));
const sources = {
  'cri-v1': 'cri/v1.proto',
  'csi-v1': 'csi/v1.proto',
  'deviceplugin-v1beta1': 'deviceplugin/v1beta1.proto',
  'dra-v1': 'dra/v1.proto',
  'dra-v1beta1': 'dra/v1beta1.proto',
  'dra-health-v1alpha1': 'dra/health-v1alpha1.proto',
  'pluginregistration-v1': 'pluginregistration/v1.proto',
  'podresources-v1': 'podresources/v1.proto',
  'podresources-v1alpha1': 'podresources/v1alpha1.proto',
  'health-v1': 'health/v1.proto',
};

const scalars = {
  bool: 'boolean',
  string: 'string',
  bytes: 'Uint8Array',
  ...Object.fromEntries(
    [
      'double',
      'float',
      'int32',
      'uint32',
      'sint32',
      'fixed32',
      'sfixed32',
      'int64',
      'uint64',
      'sint64',
      'fixed64',
      'sfixed64',
    ].map((name) => [name, 'number']),
  ),
};

const wellKnownTypes = {
  Timestamp: '  readonly seconds?: number | undefined;\n  readonly nanos?: number | undefined;',
  BoolValue: '  readonly value?: boolean | undefined;',
  Int64Value: '  readonly value?: number | undefined;',
};

function flatName(type, root) {
  const parts = [];
  for (let at = type; at !== root; at = at.parent) {
    if (at instanceof protobuf.Type || at instanceof protobuf.Enum) parts.unshift(at.name);
    else break;
  }
  return parts.join('_');
}

function fieldType(field, root) {
  const one = scalars[field.type] ?? flatName(field.resolvedType, root);
  if (field instanceof protobuf.MapField) return `Readonly<Record<string, ${one}>>`;
  if (field.repeated) return `readonly ${one}[]`;
  return field.resolvedType instanceof protobuf.Type ? `${one} | null` : one;
}

function* namesIn(namespace) {
  for (const nested of namespace.nestedArray) {
    if (nested.fullName.startsWith('.google')) continue;
    yield nested;
    if (nested instanceof protobuf.Namespace) yield* namesIn(nested);
  }
}

function emitMessage(type, root) {
  const fields = type.fieldsArray
    .filter((field) => !field.extend)
    .map((field) => `  readonly ${field.name}?: ${fieldType(field, root)} | undefined;`);
  return `export interface ${flatName(type, root)} {\n${fields.join('\n')}\n}`;
}

function emitService(service, root) {
  const methods = service.methodsArray.map((method) => {
    const name = method.name[0].toLowerCase() + method.name.slice(1);
    const request = flatName(method.resolvedRequestType, root);
    const response = flatName(method.resolvedResponseType, root);
    const kind = `${method.requestStream ? 'client-' : ''}${method.responseStream ? 'stream' : 'unary'}`;
    return `  ${name}: { request: ${request}; response: ${response}; kind: '${kind}' };`;
  });
  return `export interface ${service.name}Methods {\n${methods.join('\n')}\n}`;
}

mkdirSync(join(here, 'generated'), { recursive: true });
for (const [name, path] of Object.entries(sources)) {
  const root = new protobuf.Root();
  root.loadSync(join(here, path), { keepCase: false });
  root.resolveAll();
  const blocks = [`// Generated from proto/${path} by proto/generate.mjs.`];
  const used = new Set();
  for (const thing of namesIn(root)) {
    if (thing instanceof protobuf.Type) {
      for (const field of thing.fieldsArray) {
        if (field.resolvedType?.fullName.startsWith('.google')) used.add(field.resolvedType.name);
      }
      blocks.push(emitMessage(thing, root));
    }
    if (thing instanceof protobuf.Enum) {
      blocks.push(
        `export type ${flatName(thing, root)} = ${Object.keys(thing.values)
          .map((v) => `'${v}'`)
          .join(' | ')};`,
      );
    } else if (thing instanceof protobuf.Service) blocks.push(emitService(thing, root));
  }
  for (const [wellKnown, fields] of Object.entries(wellKnownTypes)) {
    if (used.has(wellKnown)) blocks.push(`export interface ${wellKnown} {\n${fields}\n}`);
  }
  writeFileSync(join(here, 'generated', `${name}.ts`), `${blocks.join('\n\n')}\n`);
}
