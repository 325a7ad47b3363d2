import { makeCertificate, makeKey } from '../../agent/controlplane/certificates/index.js';

const hourMs = 3_600_000;

export interface Identity {
  readonly cert: string;
  readonly key: string;
}

export interface IssueOptions {
  readonly use?: 'client' | 'server';
  /** Below zero for one that has expired. */
  readonly validForMs?: number;
  /** Of a server: where it may be reached. */
  readonly names?: { readonly dnsNames: readonly string[]; readonly addresses: readonly string[] };
}

const loopback = { dnsNames: ['localhost'], addresses: ['127.0.0.1'] };

/** A throw-away certificate authority. */
export class TestAuthority {
  readonly cert: string;
  readonly key: string;
  readonly #subject: { readonly commonName: string };

  private constructor(subject: { commonName: string }, key: string, cert: string) {
    this.#subject = subject;
    this.key = key;
    this.cert = cert;
  }

  static async make(commonName = 'test-authority', validForMs = hourMs): Promise<TestAuthority> {
    const keyPem = await makeKey();
    const subject = { commonName };
    const notBefore = Date.now() - hourMs;
    const cert = makeCertificate({ subject, keyPem, notBefore, notAfter: Date.now() + validForMs, use: 'authority' });
    return new TestAuthority(subject, keyPem, cert);
  }

  async issue(
    commonName: string,
    organizations: readonly string[] = [],
    { use = 'client', validForMs = hourMs, names = loopback }: IssueOptions = {},
  ): Promise<Identity> {
    const key = await makeKey();
    const cert = makeCertificate({
      subject: { commonName, organizations },
      keyPem: key,
      issuer: { subject: this.#subject, keyPem: this.key },
      notBefore: Date.now() - 2 * hourMs,
      notAfter: Date.now() + validForMs,
      use,
      names: use === 'server' ? names : undefined,
    });
    return { cert, key };
  }
}
