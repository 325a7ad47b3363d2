import { createPrivateKey, createPublicKey, generateKeyPair, sign, type KeyObject } from 'node:crypto';
import { isIP } from 'node:net';
import { promisify } from 'node:util';
import { bits, explicit, implicit, objectId, octets, pem, sequence, set, utf8 } from './der.js';

export interface Subject {
  readonly commonName: string;
  readonly organizations?: readonly string[];
}

export interface AlternativeNames {
  readonly dnsNames: readonly string[];
  readonly addresses: readonly string[];
}

/** ecdsa-with-SHA256, for the P-256 keys made here. */
export const signatureAlgorithm = sequence(objectId('1.2.840.10045.4.3.2'));

/** A fresh P-256 key as PKCS #8 PEM. */
export async function makeKey(): Promise<string> {
  const { privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
}

/** A to-be-signed part with its algorithm and signature around it. */
export function signed(content: Buffer, key: KeyObject): Buffer {
  return sequence(content, signatureAlgorithm, bits(sign('sha256', content, key)));
}

export const keyObject = (keyPem: string): KeyObject => createPrivateKey(keyPem);
export const publicKeyInfo = (key: KeyObject): Buffer => createPublicKey(key).export({ type: 'spki', format: 'der' });

const attribute = (oid: string, value: string): Buffer => set(sequence(objectId(oid), utf8(value)));

export function distinguishedName({ commonName, organizations = [] }: Subject): Buffer {
  return sequence(...organizations.map((each) => attribute('2.5.4.10', each)), attribute('2.5.4.3', commonName));
}

export const extension = (oid: string, value: Buffer, critical?: Buffer): Buffer =>
  sequence(objectId(oid), ...(critical ? [critical] : []), octets(value));

/** subjectAltName. */
export function alternativeNames({ dnsNames, addresses }: AlternativeNames): Buffer {
  return extension(
    '2.5.29.17',
    sequence(
      ...dnsNames.map((name) => implicit(2, Buffer.from(name))),
      ...addresses.map((address) => implicit(7, addressBytes(address))),
    ),
  );
}

export const certificatePem = (der: Buffer): string => pem('CERTIFICATE', der);
export const requestPem = (der: Buffer): string => pem('CERTIFICATE REQUEST', der);
export const contextList = (place: number, ...parts: readonly Buffer[]): Buffer => explicit(place, ...parts);

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail] = address.split('%')[0]?.split('::') ?? [];
  const groups = (text: string): number[] =>
    text === ''
      ? []
      : text.split(':').flatMap((group) => {
          if (group.includes('.')) {
            const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
            return [a * 256 + b, c * 256 + d];
          }
          return [Number.parseInt(group, 16)];
        });
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const filled = [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
  return Buffer.from(filled.flatMap((group) => [group >> 8, group & 0xff]));
}
