-- The storefront: what the shop shows, and who has put what into their cart.
CREATE TABLE products (
    sku    varchar(16) PRIMARY KEY,
    title  varchar(80) NOT NULL,
    cents  int NOT NULL CHECK (cents > 0),
    tags   json,
    hidden boolean NOT NULL DEFAULT false
) ENGINE = InnoDB;
CREATE TABLE carts (
    id       bigint AUTO_INCREMENT PRIMARY KEY,
    customer varchar(40) NOT NULL,
    opened   datetime NOT NULL
) ENGINE = InnoDB;
CREATE TABLE cart_lines (
    cart     bigint NOT NULL,
    sku      varchar(16) NOT NULL,
    quantity int NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (cart, sku),
    FOREIGN KEY (cart) REFERENCES carts (id),
    FOREIGN KEY (sku) REFERENCES products (sku)
) ENGINE = InnoDB;
INSERT INTO products (sku, title, cents, tags, hidden) VALUES
    ('ANVIL-10', 'Anvil, 10 kg', 8900, '["heavy"]', false),
    ('GLUE-1', 'Glue, jar', 450, NULL, false),
    ('ROPE-20', 'Rope, 20 m', 1990, '["outdoor", "climbing"]', false),
    ('MAGNET-L', 'Magnet, large', 2450, '["heavy"]', false),
    ('SKATES-R', 'Roller skates, with rocket', 19900, '["fast", "outdoor"]', true);
INSERT INTO carts (customer, opened) VALUES
    ('w.coyote', '2026-11-02 09:15:00'),
    ('r.runner', '2026-11-03 17:40:00'),
    ('w.coyote', '2026-11-09 08:05:00');
INSERT INTO cart_lines (cart, sku, quantity) VALUES
    (1, 'ANVIL-10', 2),
    (1, 'ROPE-20', 1),
    (2, 'GLUE-1', 3),
    (3, 'SKATES-R', 1),
    (3, 'MAGNET-L', 1);
