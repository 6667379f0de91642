#!/bin/sh
# Run by the image of MySQL, once, when its volume is new: a database for each service and one for the
# mock provider's books, and for each a user who may use that database and no other.
database() {
    cat <<SQL
CREATE DATABASE $1 CHARACTER SET utf8mb4;
CREATE USER '$1'@'%' IDENTIFIED BY '$2';
GRANT ALL PRIVILEGES ON $1.* TO '$1'@'%';
SQL
}

{
    database booking "$MYSQL_BOOKING_PASSWORD"
    database payment "$MYSQL_PAYMENT_PASSWORD"
    database inventory "$MYSQL_INVENTORY_PASSWORD"
    database provider "$MYSQL_PROVIDER_PASSWORD"
} | MYSQL_PWD=$MYSQL_ROOT_PASSWORD mysql --protocol=socket --user=root
