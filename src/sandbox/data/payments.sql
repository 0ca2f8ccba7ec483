-- Payments: merchants, their customers' payments, and what was given back.

CREATE TABLE merchants (
    id          integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name        text NOT NULL UNIQUE,
    country     char(2) NOT NULL,
    fee_percent numeric(4, 2) NOT NULL DEFAULT 1.40,
    active      boolean NOT NULL DEFAULT true,
    created_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE merchants IS 'Who takes payments through us';

CREATE TABLE payments (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    merchant   integer NOT NULL REFERENCES merchants (id),
    reference  text NOT NULL,
    method     text NOT NULL CHECK (method IN ('card', 'sepa', 'wallet')),
    amount     numeric(12, 2) NOT NULL CHECK (amount > 0),
    currency   char(3) NOT NULL,
    status     text NOT NULL CHECK (status IN ('authorised', 'captured', 'settled', 'failed')),
    details    jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    UNIQUE (merchant, reference)
);
COMMENT ON COLUMN payments.amount IS 'Gross, in the currency''s main unit';
CREATE INDEX payments_created_at ON payments (created_at);

CREATE TABLE refunds (
    id         integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    payment    uuid NOT NULL REFERENCES payments (id),
    amount     numeric(12, 2) NOT NULL CHECK (amount > 0),
    reason     text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO merchants (name, country, fee_percent, active, created_at) VALUES
    ('Bäckerei Lindner',   'DE', 1.40, true,  now() - interval '410 days'),
    ('Café Montparnasse',  'FR', 1.40, true,  now() - interval '388 days'),
    ('Nordlys Cykler',     'DK', 1.25, true,  now() - interval '301 days'),
    ('Librería Alameda',   'ES', 1.40, true,  now() - interval '255 days'),
    ('Tulip & Thyme',      'NL', 1.10, true,  now() - interval '198 days'),
    ('Kiosk am Bahnhof',   'DE', 1.60, false, now() - interval '120 days'),
    ('Gelateria Sole',     'IT', 1.40, true,  now() - interval '64 days'),
    ('Fjord Outdoor',      'NO', 1.25, true,  now() - interval '21 days');

INSERT INTO payments (merchant, reference, method, amount, currency, status, details, created_at) VALUES
    (1, 'BL-10021', 'card',     12.40, 'EUR', 'settled',    '{"brand": "visa", "last4": "4242"}',       now() - interval '9 days 3 hours'),
    (1, 'BL-10022', 'card',      6.80, 'EUR', 'settled',    '{"brand": "visa", "last4": "1881"}',       now() - interval '9 days 2 hours'),
    (2, 'CM-7781',  'card',     23.50, 'EUR', 'settled',    '{"brand": "mastercard", "last4": "4444"}', now() - interval '8 days 20 hours'),
    (3, 'NC-3001',  'card',   8499.00, 'DKK', 'settled',    '{"brand": "visa", "last4": "0119"}',       now() - interval '8 days 1 hour'),
    (4, 'LA-552',   'wallet',   31.90, 'EUR', 'settled',    '{"wallet": "apple"}',                      now() - interval '7 days 5 hours'),
    (5, 'TT-9001',  'sepa',    118.00, 'EUR', 'settled',    '{"iban_country": "NL"}',                   now() - interval '7 days'),
    (6, 'KB-12',    'card',      3.20, 'EUR', 'failed',     '{"code": "insufficient_funds"}',           now() - interval '6 days 11 hours'),
    (1, 'BL-10023', 'wallet',    9.10, 'EUR', 'settled',    '{"wallet": "google"}',                     now() - interval '6 days 2 hours'),
    (3, 'NC-3002',  'card',   1249.50, 'DKK', 'settled',    '{"brand": "mastercard", "last4": "5100"}', now() - interval '5 days 21 hours'),
    (2, 'CM-7782',  'card',     58.20, 'EUR', 'captured',   '{"brand": "amex", "last4": "0005"}',       now() - interval '4 days 8 hours'),
    (7, 'GS-101',   'card',     14.00, 'EUR', 'captured',   '{"brand": "visa", "last4": "4242"}',       now() - interval '4 days 4 hours'),
    (7, 'GS-102',   'card',      7.50, 'EUR', 'failed',     '{"code": "do_not_honor"}',                 now() - interval '4 days 3 hours'),
    (5, 'TT-9002',  'sepa',    240.75, 'EUR', 'captured',   '{"iban_country": "BE"}',                   now() - interval '3 days 6 hours'),
    (4, 'LA-553',   'card',     19.95, 'EUR', 'captured',   '{"brand": "visa", "last4": "7310"}',       now() - interval '2 days 22 hours'),
    (8, 'FO-1',     'card',   2199.00, 'NOK', 'captured',   '{"brand": "visa", "last4": "0077"}',       now() - interval '2 days 5 hours'),
    (1, 'BL-10024', 'card',     11.30, 'EUR', 'captured',   '{"brand": "mastercard", "last4": "4444"}', now() - interval '1 day 7 hours'),
    (8, 'FO-2',     'wallet', 5490.00, 'NOK', 'authorised', '{"wallet": "apple"}',                      now() - interval '20 hours'),
    (2, 'CM-7783',  'card',     42.00, 'EUR', 'authorised', '{"brand": "visa", "last4": "9424"}',       now() - interval '6 hours'),
    (7, 'GS-103',   'wallet',    9.00, 'EUR', 'authorised', '{"wallet": "google"}',                     now() - interval '95 minutes'),
    (3, 'NC-3003',  'card',    399.00, 'DKK', 'authorised', '{"brand": "visa", "last4": "0119"}',       now() - interval '12 minutes');

INSERT INTO refunds (payment, amount, reason, created_at)
SELECT id, amount, 'returned', created_at + interval '2 days' FROM payments WHERE reference IN ('NC-3002', 'LA-552')
UNION ALL
SELECT id, 5.00, 'goodwill', created_at + interval '1 day' FROM payments WHERE reference = 'CM-7781';

CREATE VIEW daily_revenue AS
SELECT p.created_at::date AS day, p.currency, count(*) AS payments,
       sum(p.amount) AS gross, round(sum(p.amount * m.fee_percent / 100), 2) AS fees
FROM payments p JOIN merchants m ON m.id = p.merchant
WHERE p.status <> 'failed'
GROUP BY 1, 2;
