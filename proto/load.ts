import { fileURLToPath } from 'node:url';
import { existsSync } from 'node:fs';
import { loadSync } from '@grpc/proto-loader';
import {
  loadPackageDefinition,
  type GrpcObject,
  type ServiceClientConstructor,
  type ServiceDefinition,
} from '@grpc/grpc-js';

/** The .proto files of this folder, by the name of what is generated from them. */
const files = {
  'cri-v1': 'cri/v1.proto',
  'csi-v1': 'csi/v1.proto',
  'deviceplugin-v1beta1': 'deviceplugin/v1beta1.proto',
  'dra-v1': 'dra/v1.proto',
  'dra-v1beta1': 'dra/v1beta1.proto',
  'dra-health-v1alpha1': 'dra/health-v1alpha1.proto',
  'pluginregistration-v1': 'pluginregistration/v1.proto',
  'podresources-v1': 'podresources/v1.proto',
  'health-v1': 'health/v1.proto',
} as const;

export type ProtoName = keyof typeof files;

/**
 * A service of one of our .proto files, ready for a gRPC client or server. Messages have the shapes of `proto/generated`:
 * lower camel case, enums by name, 64-bit integers as numbers, unset messages as null. Parsing takes tens of milliseconds:
 * load when the feature is turned on, and keep the result.
 */
export function loadService(proto: ProtoName, service: string): ServiceClientConstructor {
  const definition = loadSync(protoPath(files[proto]), {
    keepCase: false,
    longs: Number,
    enums: String,
    defaults: true,
    arrays: true,
    objects: true,
  });
  let at: unknown = loadPackageDefinition(definition);
  for (const part of service.split('.')) at = (at as GrpcObject)[part];
  if (typeof at !== 'function') throw new Error(`load ${proto}: it has no service ${service}`);
  return at as ServiceClientConstructor;
}

export function serviceDefinition(proto: ProtoName, service: string): ServiceDefinition {
  return loadService(proto, service).service;
}

/** The sources lie beside this file in a checkout, and one folder up from `dist/` once compiled. */
function protoPath(relative: string): string {
  const beside = fileURLToPath(new URL(relative, import.meta.url));
  return existsSync(beside) ? beside : fileURLToPath(new URL(`../../proto/${relative}`, import.meta.url));
}
